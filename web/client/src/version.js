// The version of this package. Tabs with different versions do not share a stream.
export const VERSION = '0.2.0';
