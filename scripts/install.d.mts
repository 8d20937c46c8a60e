// Types of install.mjs for TypeScript; its comments say what each does.
export function missing(root: string): string | undefined;
export function nodeBinary(root: string): string;
export function install(root: string): boolean;
