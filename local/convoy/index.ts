/** Settings of one local Convoy. */
export type ConvoyOptions = Record<string, unknown>;

/** A running local Convoy. */
export type Convoy = {
  fetch(request: Request): Promise<Response>;
  idle(): Promise<void>;
  close(): Promise<void>;
};

/** A local Convoy in this process. */
export function createConvoy(_options: ConvoyOptions = {}): Convoy {
  return {
    fetch: async () => new Response('{"status":false,"message":"not ready"}', { status: 501 }),
    idle: async () => {},
    close: async () => {},
  };
}
