/** Before any test: the generated files of public/, as the sources are now. */
import { writeAssets } from "../../openapi/assets.ts";

/** Vitest's global setup. */
export default function setup(): void {
  writeAssets();
}
