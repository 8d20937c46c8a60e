// The type of what tests import from install.mjs; see the comments there.
export function missing(root: string): string | undefined;
