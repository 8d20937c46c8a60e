// A Worker cut off or failed at any step of endpoints, replay, portal breaks no promise.
import { OTHER_SCENARIOS } from "./endpoint-scenarios.ts";
import { testMatrix } from "./test-matrix.ts";

testMatrix("endpoints, replay, portal", OTHER_SCENARIOS);
