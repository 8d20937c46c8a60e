// The type of what tests use of install.mjs; its comments say what it does.
export function missing(root: string): string | undefined;
