//! The little of HTTP that the bare server reads.

use memchr::memmem;

/// A request at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) is_get: bool,
    pub(crate) path: &'a str,
    pub(crate) body: &'a [u8],
    /// How many bytes it has.
    pub(crate) length: usize,
}

/// The request at the start of `bytes`, if all of it is there.
pub(crate) fn parse(bytes: &[u8]) -> Option<Request<'_>> {
    let head_length = memmem::find(bytes, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_length]).unwrap_or_default();
    let mut words = head.split(' ');
    let (method, path) = (words.next()?, words.next().unwrap_or_default());
    let body_length: usize = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    let length = head_length + body_length;
    let body = bytes.get(head_length..length)?;
    Some(Request { is_get: method == "GET", path, body, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_there_once_its_body_is() {
        let bytes = b"POST /c HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcGET";
        for end in 0..bytes.len() - 3 {
            assert_eq!(parse(&bytes[..end]), None, "{end}");
        }
        let request = Request { is_get: false, path: "/c", body: b"abc", length: bytes.len() - 3 };
        assert_eq!(parse(bytes), Some(request));
    }
}
