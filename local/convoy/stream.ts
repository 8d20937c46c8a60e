// The inbox's live feed: server-sent events, one per change of a delivery.
import type { Context as Call } from "hono";
import { streamSSE } from "hono/streaming";
import type { Context, InboxChange } from "./context.ts";
import { inboxDelivery } from "./inbox.ts";
import { findDelivery } from "./store/deliveries.ts";

/** Interval of comments on the event stream, so that a dead connection is noticed. */
const HEARTBEAT_MS = 15_000;

/** An answer that stays open until the client leaves. Changes of one turn are sent together, each delivery once. */
export function inboxStream(c: Call, context: Context): Response {
  c.header("Cache-Control", "no-store");
  return streamSSE(c, async (stream) => {
    const waiting = new Map<string, InboxChange>();
    const flush = () => {
      const changes = [...waiting.values()];
      waiting.clear();
      if (stream.aborted) return;
      for (const change of changes) {
        const row = change.kind === "delivery" ? findDelivery(context, change.id) : undefined;
        if (change.kind === "delivery" && row?.hidden !== 0) continue;
        const data = JSON.stringify(row ? inboxDelivery(row) : {});
        void stream.writeSSE({ event: change.kind, data });
      }
    };
    const listener = (change: InboxChange) => {
      if (waiting.size === 0) setImmediate(flush);
      waiting.set(change.kind === "delivery" ? change.id : change.kind, change);
    };
    const heartbeat = setInterval(() => void stream.write(": still here\n\n"), HEARTBEAT_MS);
    heartbeat.unref();
    context.listeners.add(listener);
    await stream.write("retry: 1000\n\n");
    await new Promise<void>((resolve) => stream.onAbort(resolve));
    clearInterval(heartbeat);
    context.listeners.delete(listener);
  });
}
