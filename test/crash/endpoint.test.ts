// A Worker cut off or failed at any step of endpoints and replay breaks no promise.
import { OTHER_SCENARIOS } from "./endpoint-scenarios.ts";
import { testMatrix } from "./test-matrix.ts";

testMatrix("endpoints and replay", OTHER_SCENARIOS);
