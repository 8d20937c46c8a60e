// One HTTP request with exactly the given headers, in their order: fetch would add its own.
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { createGunzip } from "node:zlib";

/** How much of a receiver's answer is kept: Convoy's own max_response_size is 50 KB. */
export const MAX_RESPONSE_BYTES = 50 * 1024;

/**
 * Sends a webhook as Convoy's client does: Host first, User-Agent, Content-Length, then the given headers. Has fetch's
 * signature for the cases used here (a URL, headers as an object, a string body). Does not follow redirects. Rejects
 * with the socket's error, with the signal's reason, or with "EOF" for an empty gzip answer: that is how the real one
 * fails on what `wrangler dev` makes of a 204 (seen).
 */
export const sendHttp: typeof fetch = (input, init = {}) =>
  new Promise((resolve, reject) => {
    const url = new URL(String(input));
    const body = typeof init.body === "string" ? Buffer.from(init.body) : undefined;
    const { "User-Agent": agent, ...others } = init.headers as Record<string, string>;
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    const request = send(url.href, {
      method: init.method ?? "GET",
      setHost: false,
      headers: {
        Host: url.host,
        ...(agent === undefined ? {} : { "User-Agent": agent }),
        ...(body === undefined ? {} : { "Content-Length": body.length }),
        ...others,
      },
      ...(init.signal ? { signal: init.signal } : {}),
    });
    request.removeHeader("Connection");
    request.on("error", (error) => reject(init.signal?.aborted ? init.signal.reason : error));
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      let kept = 0;
      let received = 0;
      response.on("data", (chunk: Buffer) => {
        received += chunk.length;
      });
      const zipped = response.headers["content-encoding"] === "gzip";
      const content = zipped ? response.pipe(createGunzip()) : response;
      content.on("data", (chunk: Buffer) => {
        if (kept < MAX_RESPONSE_BYTES) chunks.push(chunk.subarray(0, MAX_RESPONSE_BYTES - kept));
        kept += chunk.length;
      });
      response.on("error", reject);
      if (zipped) content.on("error", (error) => reject(received === 0 ? new Error("EOF") : error));
      content.on("end", () => {
        const headers = new Headers();
        for (const [name, values] of Object.entries(response.headersDistinct))
          for (const value of values ?? []) headers.append(name, value);
        const status = response.statusCode ?? 0;
        const noBody = status === 204 || status === 205 || status === 304;
        resolve(
          new Response(noBody ? null : Buffer.concat(chunks), {
            // Response refuses other statuses; such an answer counts as a failure anyway.
            status: status >= 200 && status <= 599 ? status : 599,
            statusText: response.statusMessage ?? "",
            headers,
          }),
        );
      });
    });
    request.end(body);
  });
