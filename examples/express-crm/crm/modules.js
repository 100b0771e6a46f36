/** The fields of each module that users edit. */
export const MODULES = {
  escrows: ['address', 'status', 'price'],
  listings: ['address', 'status', 'price'],
  clients: ['name', 'email', 'phone'],
  appointments: ['title', 'location'],
  leads: ['name', 'phone', 'status'],
};
