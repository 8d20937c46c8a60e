// A run of the cron that is cut off, or fails, at any step breaks no promise.
import { CRON_SCENARIOS } from "./cron-scenarios.ts";
import { testMatrix } from "./test-matrix.ts";

testMatrix("cron", CRON_SCENARIOS);
