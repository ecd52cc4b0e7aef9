//! The number of bytes in a socket's send queue: written to the socket and not acknowledged by the peer.
//!
//! A kernel accepts bytes long before the peer receives them. While the number falls, the peer is alive and reading,
//! though it may be too slow to answer. The crate holds one of the project's two exceptions to the ban on `unsafe`: one
//! system call, which the standard library does not offer.

#[cfg(unix)]
use std::os::fd::AsFd;

/// Returns the number of bytes in the socket's send queue, sent or not, that the peer has not acknowledged (Linux:
/// `SIOCOUTQ`). `None` on systems that do not report it, and for descriptors that are not sockets.
///
/// ```
/// use std::net::{TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let stream = TcpStream::connect(listener.local_addr()?)?;
/// # #[cfg(target_os = "linux")]
/// assert_eq!(sansocket_acked::outstanding(&stream), Some(0));
/// # Ok::<(), std::io::Error>(())
/// ```
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn outstanding(socket: &impl AsFd) -> Option<usize> {
    use std::os::fd::AsRawFd;

    let mut bytes: libc::c_int = 0;
    // `SIOCOUTQ` and `TIOCOUTQ` are the same number
    #[expect(unsafe_code, reason = "the standard library does not offer this system call")]
    // SAFETY: the descriptor is open as long as it is borrowed, and the call writes one `c_int`.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { usize::try_from(bytes).ok() } else { None }
}

/// Returns `None`: this system does not report the number.
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
pub fn outstanding(_: &impl AsFd) -> Option<usize> {
    None
}

/// Returns `None`: this system does not report the number.
#[cfg(not(unix))]
pub fn outstanding<S>(_: &S) -> Option<usize> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::outstanding;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    #[test]
    fn unread_bytes_are_outstanding_and_acknowledged_bytes_are_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut receiver = listener.accept().unwrap().0;
        sender.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(count) = sender.write(&[7; 65536]) {
            sent += count;
        }
        let before = outstanding(&sender).unwrap();
        assert!(before > 0 && before <= sent, "{before} of {sent}");

        receiver.read_exact(&mut vec![0; sent]).unwrap();
        let started = Instant::now();
        while outstanding(&sender).unwrap() > 0 {
            assert!(started.elapsed() < Duration::from_secs(10), "the peer has read everything");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_file_has_no_send_queue() {
        let file = std::fs::File::open("Cargo.toml").unwrap();
        assert_eq!(outstanding(&file), None);
    }
}
