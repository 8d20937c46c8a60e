// A Worker cut off or failed at any step of a change of a todo breaks no promise.

import { testMatrix } from "./test-matrix.ts";
import { TODO_SCENARIOS } from "./todo-scenarios.ts";

testMatrix("/todo", TODO_SCENARIOS);
