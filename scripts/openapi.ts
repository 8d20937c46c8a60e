/** npm run openapi: writes the generated files in public/, which dev, test and deploy also do. */
import { writeAssets } from "../openapi/assets.ts";

for (const file of writeAssets()) console.log(file);
