// A Worker cut off or failed at any step of the cron breaks no promise.
import { CRON_SCENARIOS } from "./cron-scenarios.ts";
import { testMatrix } from "./test-matrix.ts";

testMatrix("the cron", CRON_SCENARIOS);
