/** What becomes of the deliveries of an endpoint that is removed. */
import { env as testEnv } from "cloudflare:workers";
import { expect, test } from "vitest";
import { ownAmong, record } from "../../../src/outbox/learn.ts";
import { deadOfEndpoint } from "../../../src/outbox/removal.ts";
import type { DeliveryStatus } from "../../../src/outbox/rows.ts";
import type { Bindings } from "../../../src/settings.ts";
import { batch } from "../../../src/storage.ts";
import { listed, notedEndpoints } from "../../support/gateway.ts";
import { deliveryRows, leaveDeliveries } from "../../support/log-rows.ts";

const { DB } = testEnv as unknown as Bindings;
const ALL: DeliveryStatus[] = ["pending", "sending", "held", "delivered", "failed", "dead"];

test("all that it has not got is dead, with words; what is final, and others', stays", async () => {
  await leaveDeliveries(DB, [
    ...ALL.map((status) => ({ status })),
    ...ALL.map((status) => ({ status, endpoint_id: "a2" })),
    ...ALL.map((status) => ({ status, owner: "b", endpoint_id: "a1" })),
  ]);
  const before = await deliveryRows(DB);
  await batch(DB, deadOfEndpoint("a", "a1", 5_000));
  const after = await deliveryRows(DB);
  for (const row of after.slice(0, 3)) {
    expect(row).toMatchObject({ status: "dead", due_at: null, finished_at: 5_000 });
    expect(row.error).toBe("The endpoint was removed.");
  }
  expect(after.slice(3)).toEqual(before.slice(3));
});

test("its success may still be seen", async () => {
  await leaveDeliveries(DB, [{ status: "sending", due_at: 1 }]);
  await batch(DB, deadOfEndpoint("a", "a1", 5_000));
  await record(DB, notedEndpoints(), ownAmong([listed(1)]), { at: 6_000 });
  expect(await deliveryRows(DB)).toMatchObject([{ status: "delivered", finished_at: 6_000 }]);
});
