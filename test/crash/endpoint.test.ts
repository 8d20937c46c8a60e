// A Worker that is cut off, or fails, at any step of an endpoint's change or a replay breaks no promise.
import { OTHER_SCENARIOS } from "./endpoint-scenarios.ts";
import { testMatrix } from "./test-matrix.ts";

testMatrix("endpoints and replay", OTHER_SCENARIOS);
