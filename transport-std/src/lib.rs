//! Reliable Server Pooling over sockets.
