/** Brings the generated files of public/ up to date before any test. */
import { writeAssets } from "../../openapi/assets.ts";

/** Vitest's global setup. */
export default function setup(): void {
  writeAssets();
}
