/** Health and the portal. */
import { HealthQuery } from "../../src/schema.ts";
import type { Operation } from "../operation.ts";

/** Health and the portal. */
export const OTHER: Operation[] = [
  {
    method: "post",
    path: "/portal-link",
    id: "createPortalLink",
    tag: "Endpoints",
    summary: "Get a link into Convoy's portal",
    description: "For the caller's endpoints. Needs a licensed Convoy.",
    answers: {
      201: {
        description: "Whoever has it can manage the endpoints.",
        schema: "PortalLink",
        example: { url: "https://us.getconvoy.cloud/portal?token=TOKEN" },
      },
    },
    errors: [502],
  },
  {
    method: "get",
    path: "/health",
    id: "health",
    tag: "Service",
    summary: "Is it well?",
    caller: "either",
    query: HealthQuery,
    answers: {
      200: {
        description: "Well.",
        schema: ["Health", "Alive"],
        example: { status: "ok" },
      },
      503: {
        description: "Not well, or a setting is missing.",
        schema: ["Health", "Error"],
      },
    },
  },
];
