/** Which database a wrangler.toml binds. */
import { unstable_readConfig as readConfig } from "wrangler";

type Bound = { binding: string; database_name?: string; database_id?: string };

/**
 * The database bound as DB. Without an `id`, `wrangler d1` finds it by name; Cloudflare's deploy button
 * writes an id into the file, and the name the user chose.
 * @throws Error if wrangler.toml binds none
 */
export function databaseOf(config: string): { name: string; id: string | undefined } {
  const databases: Bound[] = readConfig({ config }).d1_databases;
  const bound = databases.find(({ binding }) => binding === "DB");
  if (!bound?.database_name)
    throw new Error('wrangler.toml names no database for the binding "DB".');
  return { name: bound.database_name, id: bound.database_id };
}
