/** A caller of the Worker's API: JSON in, status and JSON out. */

/** An answer: its status, headers and parsed body. */
export type Answer<T = Record<string, unknown>> = { status: number; headers: Headers; body: T };

/** Calls the API; `path` is relative to the Worker's URL. */
export type Call = <T = Record<string, unknown>>(
  method: string,
  path: string,
  body?: unknown,
) => Promise<Answer<T>>;

/** A todo as the API shows it. */
export type Todo = { id: number; item: string; completed: boolean };

/** A caller for the Worker at `base`, with a token if given; a string body is sent as is, anything else as JSON. */
export function callerOf(base: string | URL, token?: string): Call {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return async <T>(method: string, path: string, body?: unknown) => {
    const json = { accept: "application/json", "content-type": "application/json" };
    const response = await fetch(new URL(path, base), {
      method,
      headers: { ...authorization, ...(body === undefined ? {} : json) },
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: (text === "" ? undefined : JSON.parse(text)) as T,
    };
  };
}

/** All todos, page by page. */
export async function allTodos(call: Call): Promise<Todo[]> {
  const todos: Todo[] = [];
  let cursor: string | undefined;
  do {
    const page = await call<{ data: Todo[]; cursor?: string }>(
      "GET",
      `/todo?limit=1000${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`,
    );
    if (page.status !== 200) throw new Error(`GET /todo: ${page.status}`);
    todos.push(...page.body.data);
    cursor = page.body.cursor;
  } while (cursor);
  return todos;
}

/** Creates an endpoint. @returns its id and its secret */
export async function createEndpoint(
  call: Call,
  url: string,
): Promise<{ id: string; secret: string }> {
  const { status, body } = await call("POST", "/endpoint", { name: "Receiver", url });
  if (status !== 201) throw new Error(`POST /endpoint: ${status} ${JSON.stringify(body)}`);
  return { id: String(body["Endpoint ID"]), secret: String(body.secret) };
}
