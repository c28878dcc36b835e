//! Two endpoints and what lies between them.
