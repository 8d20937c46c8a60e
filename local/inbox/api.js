// The page's calls to the local Convoy.

async function ask(path, init) {
  const response = await fetch(`/inbox${path}`, init);
  const body = await response.json();
  if (!response.ok) throw new Error(body.error ?? body.message ?? `HTTP ${response.status}`);
  return body;
}

/** The newest deliveries matching the filter, at most 500; a search finds older ones. */
export const fetchList = (filter) =>
  ask(`/deliveries?${new URLSearchParams(Object.entries(filter).filter(([, value]) => value))}`);

/** One delivery with its signature check, attempts and endpoint. */
export const fetchDelivery = (id) => ask(`/deliveries/${encodeURIComponent(id)}`);

/** Sends a delivery again. */
export const replay = (id) =>
  ask(`/deliveries/${encodeURIComponent(id)}/replay`, { method: "POST" });

/** Empties the inbox. */
export const clear = () => ask("/deliveries", { method: "DELETE" });

/** Where the Worker is, and the newest endpoint's id. */
export const fetchSettings = () => ask("/settings");

/** The faults in force. */
export const fetchFaults = () => ask("/faults");

/** Sets the faults; {} ends them. */
export const putFaults = (faults) =>
  ask("/faults", {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(faults),
  });
