//! A world of replicas in virtual time.
