package vault

// checksModes says whether a file's mode tells who may read it: here access lists do.
const checksModes = false
