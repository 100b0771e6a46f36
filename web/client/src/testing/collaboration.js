/** @type {import('./service.js').Route[]} */
export const collaborationRoutes = [];
