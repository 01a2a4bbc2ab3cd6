//! Segments, transactions, index, locks and quota: a transactional store of objects.
