// A Worker that is cut off, or fails, at any step of the cron breaks no promise.
import { CRON_SCENARIOS } from "./cron-scenarios.ts";
import { testMatrix } from "./test-matrix.ts";

testMatrix("the cron", CRON_SCENARIOS);
