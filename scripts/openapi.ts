/** npm run openapi: writes the generated files of public/, as dev, test and deploy do by themselves. */
import { writeAssets } from "../openapi/assets.ts";

for (const file of writeAssets()) console.log(file);
