/** @type {import('./service.js').Route[]} */
export const taskRoutes = [];
