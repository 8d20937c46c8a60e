/** Sends requests over kept-alive connections: how many per second, and how long each takes. */
import http from "node:http";

/** A request to send, and the status it must get. */
export type Shot = { method: string; path: string; body?: object; status: number };

/** A Worker under load. `next` makes each request. */
export type Target = { url: URL; next: () => Shot };

/** Warm-up before a turn counts, until connections are open and work in waitUntil has reached its level. */
const RUN_IN_MS = 100;

type Over = { connections: number };

/** Sends over `connections`, each its next request once the last one is answered, while `goesOn`. */
async function sendOver(
  target: Target,
  { connections }: Over,
  goesOn: () => boolean,
  note: (begun: number, ended: number) => void,
): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  const ask = async () => {
    while (goesOn()) {
      const begun = performance.now();
      await send(target, agent);
      note(begun, performance.now());
    }
  };
  await Promise.all(Array.from({ length: connections }, ask));
  agent.destroy();
}

/** Requests per second that a target answers. @throws Error if an answer has another status */
export async function throughput(target: Target, how: Over & { ms: number }): Promise<number> {
  const begins = performance.now() + RUN_IN_MS;
  const ends = begins + how.ms;
  let answered = 0;
  const isTime = () => performance.now() < ends;
  await sendOver(target, how, isTime, (_, ended) => {
    if (ended >= begins && ended < ends) answered++;
  });
  return (answered * 1_000) / how.ms;
}

/** How long each of `count` requests took, in ms. @throws Error if an answer has another status */
export async function latencies(target: Target, how: Over & { count: number }): Promise<number[]> {
  const times: number[] = [];
  let left = how.count;
  const isLeft = () => left-- > 0;
  await sendOver(target, how, isLeft, (begun, ended) => void times.push(ended - begun));
  return times;
}

function send({ url, next }: Target, agent: http.Agent): Promise<void> {
  const { method, path, body, status } = next();
  const text = body && JSON.stringify(body);
  const headers = text ? { "Content-Type": "application/json", "Content-Length": text.length } : {};
  const { hostname, port } = url;
  return new Promise((resolve, reject) => {
    const request = http.request({ agent, hostname, port, method, path, headers }, (response) => {
      response.resume().on("error", reject).on("end", resolve);
      if (response.statusCode !== status) {
        reject(new Error(`${method} ${path} answered ${response.statusCode}, not ${status}`));
      }
    });
    request.on("error", reject).end(text);
  });
}
