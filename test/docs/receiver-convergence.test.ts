// A receiver that sees only the webhooks, late, twice and in any order, comes to hold the list exactly.
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { startReceiver, type Webhook } from "../support/receiver.ts";

/** What a caller of the API tries; `read` and `miss` send webhooks that change nothing. */
type Action = {
  kind: "create" | "update" | "delete" | "read" | "miss";
  id: number;
  item: string;
  completed: boolean;
};

const action: fc.Arbitrary<Action> = fc.record({
  kind: fc.constantFrom("create", "update", "delete", "read", "miss"),
  id: fc.nat({ max: 3 }),
  item: fc.string({ minLength: 1, maxLength: 5, unit: "grapheme" }),
  completed: fc.boolean(),
});

/** The webhooks of a history and the list it ends in; `sequence` grows with gaps, as other owners use it too. */
function play(actions: Action[]) {
  const todos = new Map<number, Webhook["todo"]>();
  const webhooks: Webhook[] = [];
  for (const [i, { kind, id, item, completed }] of actions.entries()) {
    const base = {
      event_id: `event-${i}`,
      occurred_at: new Date(i).toISOString(),
      description: kind,
    };
    const sequence = 3 * i + 1;
    const todo = { id, item, completed };
    if (kind === "read") {
      webhooks.push({ ...base, event: "retrieved", todo: todos.get(id) ?? todo });
    } else if (kind === "miss") {
      webhooks.push({ ...base, event: "failure", sequence, todo: { id } });
    } else if (kind === "create" && !todos.has(id)) {
      todos.set(id, todo);
      webhooks.push({ ...base, event: "created", sequence, todo });
    } else if (kind === "update" && todos.has(id)) {
      todos.set(id, todo);
      webhooks.push({ ...base, event: "updated", sequence, todo });
    } else if (kind === "delete" && todos.delete(id)) {
      webhooks.push({ ...base, event: "deleted", sequence, todo: { id } });
    }
  }
  return { webhooks, list: [...todos.values()].sort((a, b) => a!.id - b!.id) };
}

/** How one delivery goes: `lost`: the receiver's database stops before it; `unanswered`: after it, so Convoy sends again. */
const fate = fc.constantFrom(
  "arrives",
  "arrives",
  "arrives",
  "twice",
  "lost",
  "unanswered",
  "restart",
);

const history = fc
  .array(action, { minLength: 1, maxLength: 25 })
  .map(play)
  .chain(({ webhooks, list }) =>
    fc.record({
      webhooks: fc.shuffledSubarray(webhooks, { minLength: webhooks.length }),
      fates: fc.array(fate, { minLength: webhooks.length, maxLength: webhooks.length }),
      list: fc.constant(list),
    }),
  );

test("any order, any repeats, any restarts: the copy is the list", async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  await fc.assert(
    fc.asyncProperty(history, async ({ webhooks, fates, list }) => {
      let receiver = startReceiver();
      const { double } = receiver;
      const later: Webhook[] = [];
      const status = async (webhook: Webhook) => {
        const answer = await receiver.post(webhook);
        await answer.body?.cancel();
        return answer.status;
      };
      for (const [i, webhook] of webhooks.entries()) {
        const how = fates[i];
        if (how === "restart") receiver = startReceiver(double);
        if (how === "lost" || how === "unanswered") {
          receiver.env.DB = double.view(async (_call, run) => {
            if (how === "unanswered") run();
            throw new Error("Network connection lost.");
          });
        }
        if ((await status(webhook)) >= 300 || how === "twice") later.push(webhook);
        receiver.env.DB = double.db;
      }
      for (const webhook of later.reverse()) expect(await status(webhook)).toBeLessThan(300);
      expect(await receiver.list()).toEqual(list);
      double.close();
    }),
    { numRuns: 1_000 },
  );
});

test("many at once: the copy is the list", async () => {
  await fc.assert(
    fc.asyncProperty(history, async ({ webhooks, list }) => {
      const receiver = startReceiver();
      const answers = await Promise.all(
        [...webhooks, ...webhooks].map((webhook) => receiver.post(webhook)),
      );
      expect(answers.every(({ ok }) => ok)).toBe(true);
      await Promise.all(answers.map((answer) => answer.body?.cancel()));
      expect(await receiver.list()).toEqual(list);
      receiver.double.close();
    }),
    { numRuns: 300 },
  );
});
