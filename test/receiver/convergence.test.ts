// A receiver that gets only the webhooks, late, twice and in any order, ends up with exactly the list.
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

/** The webhooks of a history and the list it ends in; `sequence` grows with gaps, as other owners use it, too. */
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

/** How one delivery goes. `lost`: the database fails before it; `unanswered`: after it. Convoy sends both again. */
const fate = fc.constantFrom("arrives", "arrives", "arrives", "twice", "lost", "unanswered");

const history = fc
  .array(action, { minLength: 1, maxLength: 25 })
  .map(play)
  .chain(({ webhooks, list }) =>
    fc.record({
      webhooks: fc.shuffledSubarray(webhooks, { minLength: webhooks.length }),
      fates: fc.array(fate, { minLength: webhooks.length, maxLength: webhooks.length }),
      /** Whether all arrive at once, not one after the other. */
      atOnce: fc.boolean(),
      list: fc.constant(list),
    }),
  );

test("the copy equals the list, whatever the order, the repeats and the failures", async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  await fc.assert(
    fc.asyncProperty(history, async ({ webhooks, fates, atOnce, list }) => {
      const { double, ...reader } = startReceiver();
      const again: Webhook[] = [];
      const deliver = async (webhook: Webhook, how: string) => {
        // A new Worker each time: it remembers nothing but its database.
        const receiver = startReceiver(double);
        if (how === "lost" || how === "unanswered") {
          receiver.env.DB = double.view(async (_call, run) => {
            if (how === "unanswered") run();
            throw new Error("Network connection lost.");
          });
        }
        const answer = await receiver.post(webhook);
        await answer.body?.cancel();
        if (!answer.ok || how === "twice") again.push(webhook);
        return answer.ok;
      };
      const tries = webhooks.map((webhook, i) => () => deliver(webhook, fates[i]!));
      if (atOnce) await Promise.all(tries.map((attempt) => attempt()));
      else for (const attempt of tries) await attempt();
      for (const webhook of again.reverse()) expect(await deliver(webhook, "arrives")).toBe(true);
      expect(await reader.list()).toEqual(list);
      double.close();
    }),
    { numRuns: Number(process.env.CONVERGENCE ?? 150), seed: Number(process.env.SEED ?? 1) },
  );
});
