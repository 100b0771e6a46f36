// Whose writes wait here: those of one user are never sent by another one's tab.

/**
 * @param {{env: import('../environment.js').Environment, tokens: import('../token.js').TokenSource, base: string, userId: string}} context
 * @returns {Promise<string>} the user's id; without a token, that of the user who had this tab last
 */
export async function ownerOf({ env, tokens, base, userId }) {
  if (userId) return userId;
  const key = `porchlight:user:${base}`;
  try {
    const token = await tokens.get().catch(() => null);
    const known = token ? tokens.claimsOf(token).sub : undefined;
    if (known) env.storage?.setItem(key, known);
    return known ?? env.storage?.getItem(key) ?? '';
  } catch {
    // Storage is full or blocked.
    return '';
  }
}
