// Tasks, notifications, activity. Functions, so that a page loads only what it uses.
import { Activity } from './feeds/activity.js';
import { partName } from './feeds/feed.js';
import { Notifications } from './feeds/notifications.js';
import { Tasks } from './feeds/tasks.js';

/** @typedef {import('./client.js').Client} Client */

/**
 * The tasks of this user and the user's teams, from new to old; and `create`, `cancel`, `retry` and `follow`.
 * @param {Client} client
 * @param {import('./feeds/tasks.js').TasksOptions} [options]
 * @returns {Tasks}
 */
export function tasks(client, options = {}) {
  return client.part(partName('/tasks', options), () => new Tasks(client, options));
}

/**
 * This user's notifications, how many are unread, and `markRead`.
 * @param {Client} client
 * @param {import('./feeds/notifications.js').NotificationsOptions} [options]
 * @returns {Notifications}
 */
export function notifications(client, options = {}) {
  return client.part(partName('/notifications', options), () => new Notifications(client, options));
}

/**
 * What people did, in sentences, from new to old.
 * @param {Client} client
 * @param {import('./feeds/activity.js').ActivityOptions} [options]
 * @returns {Activity}
 */
export function activity(client, options = {}) {
  return client.part(partName('/activity', options), () => new Activity(client, options));
}
