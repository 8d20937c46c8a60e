// The inbox's live feed: server-sent events, one per change of a delivery.
import { STREAM_HEARTBEAT_MS } from "../config.ts";
import type { Context, InboxChange } from "./context.ts";
import { inboxDelivery } from "./inbox.ts";
import { findDelivery } from "./store/deliveries.ts";

function eventText(context: Context, change: InboxChange): string {
  if (change.kind !== "delivery") return `event: ${change.kind}\ndata: {}\n\n`;
  const row = findDelivery(context, change.id);
  if (!row || row.hidden === 1) return "";
  return `event: delivery\ndata: ${JSON.stringify(inboxDelivery(row))}\n\n`;
}

/** An answer that stays open until the client leaves. Changes of one turn are sent together, each delivery once. */
export function inboxStream(context: Context, signal: AbortSignal): Response {
  let stop = () => {};
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const encoder = new TextEncoder();
      const waiting = new Map<string, InboxChange>();
      const flush = () => {
        const changes = [...waiting.values()];
        waiting.clear();
        if (stopped) return;
        const text = changes.map((change) => eventText(context, change)).join("");
        if (text !== "") controller.enqueue(encoder.encode(text));
      };
      const listener = (change: InboxChange) => {
        if (waiting.size === 0) setImmediate(flush);
        waiting.set(change.kind === "delivery" ? change.id : change.kind, change);
      };
      const heartbeat = setInterval(
        () => controller.enqueue(encoder.encode(": still here\n\n")),
        STREAM_HEARTBEAT_MS,
      );
      heartbeat.unref();
      let stopped = false;
      stop = () => {
        if (stopped) return;
        stopped = true;
        clearInterval(heartbeat);
        context.listeners.delete(listener);
      };
      context.listeners.add(listener);
      signal.addEventListener("abort", stop);
      controller.enqueue(encoder.encode("retry: 1000\n\n"));
    },
    cancel: () => stop(),
  });
  return new Response(body, {
    headers: { "Content-Type": "text/event-stream", "Cache-Control": "no-store" },
  });
}
