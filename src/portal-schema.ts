/** The contract of /portal-link. */
import * as z from "zod/mini";

/** Answer of POST /portal-link. */
export const PortalLink = z.object({ url: z.string() });
