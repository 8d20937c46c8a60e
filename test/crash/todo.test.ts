// A Worker that is cut off, or fails, at any step of a todo's change breaks no promise.

import { testMatrix } from "./test-matrix.ts";
import { TODO_SCENARIOS } from "./todo-scenarios.ts";

testMatrix("/todo", TODO_SCENARIOS);
