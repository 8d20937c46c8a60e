/** The nouns of this service, a line each (docs/adapt.md). */
import { registryOf } from "./outbox/outbox.ts";
import { todo } from "./todo/resource.ts";

/** All that the outbox is told of. */
export const resources = registryOf([todo]);
