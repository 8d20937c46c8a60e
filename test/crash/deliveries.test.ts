// A Worker that is cut off, or fails, at any step of what a user does to deliveries and endpoints breaks no promise.
import { DELIVERY_SCENARIOS } from "./delivery-scenarios.ts";
import { testMatrix } from "./test-matrix.ts";

testMatrix("deliveries", DELIVERY_SCENARIOS);
