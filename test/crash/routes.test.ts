// No changing route is left out of the crash matrix.
import { expect, test } from "vitest";
import { app } from "../../src/app.ts";
import { OTHER_SCENARIOS } from "./endpoint-scenarios.ts";
import { TODO_SCENARIOS } from "./todo-scenarios.ts";

/**
 * A link is only a signature over the caller's name and the time: no I/O to cut, and nothing to leave behind.
 * A rebuild needs an operator's token, and is rerun from the page it stopped at: test/worker/rebuild.test.ts.
 */
const LEFT_OUT = ["POST /portal-link", "POST /rebuild"];

test("every changing route has a crash scenario, and every scenario a route", () => {
  const changing = app.routes
    .filter(({ method }) => ["POST", "PUT", "PATCH", "DELETE"].includes(method))
    .map(({ method, path }) => `${method} ${path}`)
    .filter((route) => !LEFT_OUT.includes(route));
  const covered = [...TODO_SCENARIOS, ...OTHER_SCENARIOS].map(({ route }) => route);
  expect([...new Set(covered)].sort()).toEqual([...new Set(changing)].sort());
});
