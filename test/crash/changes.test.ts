// A Worker that is cut off, or fails, at any step of a change breaks no promise.
import { CHANGE_SCENARIOS } from "./change-scenarios.ts";
import { testMatrix } from "./test-matrix.ts";

testMatrix(
  "changes",
  CHANGE_SCENARIOS,
  /(with three|for one endpoint|update without endpoints|settle|guarded.*)$/,
);
