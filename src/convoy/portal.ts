/** Convoy's portal. */
import { type Answer, type Convoy, call } from "./client.ts";

/** A link into Convoy's portal; its success was never recorded, its schema is openapi3.json's PortalLinkResponse. */
export type PortalLink = { uid: string; url: string; owner_id: string; token?: string };

/** Makes a portal link for one owner; an unlicensed Convoy answers 401 "Access denied" (recorded). */
export function createPortalLink(convoy: Convoy, ownerId: string, name: string) {
  return call<PortalLink>(convoy, "/portal-links", {
    method: "POST",
    body: { name, owner_id: ownerId, auth_type: "static_token", can_manage_endpoint: true },
  });
}

/** Whether Convoy has no licence for what was asked: 401 "Access denied" though the key is good (recorded). */
export function isUnlicensed(answer: Answer<unknown>): boolean {
  return !answer.ok && answer.status === 401 && answer.message === "Access denied";
}
