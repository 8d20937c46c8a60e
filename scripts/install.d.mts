// The types of what install.mjs exports; see the comments there.
export type Platform = { os: string; cpu: string; libc: string | undefined };
type Words = { everyMs?: number; say?: (line: string) => void };
export function missing(root: string, platform?: Platform): string | undefined;
export function tooOld(version: string, range: string): string | undefined;
export function busy(what: string, how?: Words & { hint?: string }): () => void;
export function install(root: string, how?: Words & { npm?: string[] }): Promise<boolean>;
