// The types of what tests import from install.mjs; see the comments there.
export type Platform = { os: string; cpu: string; libc: string | undefined };
export type How = { npm?: string[]; patienceMs?: number; say?: (line: string) => void };
export function missing(root: string, platform?: Platform): string | undefined;
export function tooOld(version: string, range: string): string | undefined;
export function install(root: string, how?: How): Promise<boolean>;
