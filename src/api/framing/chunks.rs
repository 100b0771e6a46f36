//! A chunked body, byte by byte, except for the data of its chunks.

use super::FramingError;
use super::head::is_token_byte;

/// The bytes of a size and its extensions. Clients send no extensions.
const MAX_SIZE_LINE_BYTES: u16 = 256;
const MAX_SIZE_DIGITS: u16 = 16;
const MAX_CHUNK_BYTES: u64 = u32::MAX as u64;
/// All lines after the last chunk together.
const MAX_TRAILER_BYTES: u16 = 8_192;

/// How far a body has been read.
#[derive(Debug, Default)]
pub(super) struct ChunkScan {
    state: ChunkState,
    /// The size of the chunk, and then what is left of it.
    size: u64,
    /// The bytes of the size's line, or of the trailers.
    used: u16,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkState {
    #[default]
    Size,
    /// After white space, which only an extension may follow.
    BeforeSemicolon,
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    Value,
    Quoted,
    Escaped,
    AfterQuoted,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    LineStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

/// So many bytes belong to the body, and what follows them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChunkProgress {
    pub(super) bytes: usize,
    pub(super) then: ChunkThen,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChunkThen {
    More,
    End,
    Refuse(FramingError),
}

impl ChunkScan {
    pub(super) fn scan(&mut self, bytes: &[u8]) -> ChunkProgress {
        let mut at = 0;
        while at < bytes.len() {
            if self.state == ChunkState::Data {
                let left = usize::try_from(self.size).unwrap_or(usize::MAX);
                let taken = left.min(bytes.len() - at);
                at += taken;
                self.size -= taken as u64;
                if self.size == 0 {
                    self.state = ChunkState::DataCr;
                }
                continue;
            }
            match self.step(bytes[at]) {
                Ok(state) => self.state = state,
                Err(error) => {
                    let then = ChunkThen::Refuse(error);
                    return ChunkProgress { bytes: at, then };
                }
            }
            at += 1;
            if self.state == ChunkState::End {
                let then = ChunkThen::End;
                return ChunkProgress { bytes: at, then };
            }
        }
        let then = ChunkThen::More;
        ChunkProgress { bytes: at, then }
    }

    fn step(&mut self, byte: u8) -> Result<ChunkState, FramingError> {
        use ChunkState as S;
        match self.state {
            S::Size => self.size(byte),
            S::SizeLf => match byte {
                b'\n' => {
                    self.used = 0;
                    Ok(if self.size == 0 {
                        S::LineStart
                    } else {
                        S::Data
                    })
                }
                _ => Err(FramingError::LineEnd),
            },
            S::DataCr if byte == b'\r' => Ok(S::DataLf),
            S::DataLf if byte == b'\n' => Ok(S::Size),
            S::Data | S::DataCr | S::DataLf => Err(FramingError::ChunkEnd),
            S::LineStart | S::TrailerName | S::TrailerValue | S::TrailerLf | S::EndLf | S::End => {
                self.trailer(byte)
            }
            _ => self.extension(byte),
        }
    }

    fn size(&mut self, byte: u8) -> Result<ChunkState, FramingError> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' | b';' | b' ' | b'\t' if self.used > 0 => {
                return Ok(match byte {
                    b'\r' => ChunkState::SizeLf,
                    b';' => ChunkState::BeforeName,
                    _ => ChunkState::BeforeSemicolon,
                });
            }
            _ => return Err(FramingError::ChunkSize),
        };
        self.used += 1;
        self.size = self.size * 16 + u64::from(digit);
        if self.used > MAX_SIZE_DIGITS || self.size > MAX_CHUNK_BYTES {
            return Err(FramingError::ChunkSize);
        }
        Ok(ChunkState::Size)
    }

    /// `;name`, `;name=value` or `;name="value"`, with white space before and after `;` and `=`.
    fn extension(&mut self, byte: u8) -> Result<ChunkState, FramingError> {
        use ChunkState as S;
        self.count(MAX_SIZE_LINE_BYTES, FramingError::ChunkExtension)?;
        let is_space = matches!(byte, b' ' | b'\t');
        match (self.state, byte) {
            (S::Quoted, b'"') => Ok(S::AfterQuoted),
            (S::Quoted, b'\\') => Ok(S::Escaped),
            (S::Quoted | S::Escaped, _) if is_text(byte) => Ok(S::Quoted),
            (S::BeforeSemicolon | S::BeforeName | S::AfterName | S::BeforeValue, _) if is_space => {
                Ok(self.state)
            }
            (S::Name, _) if is_space => Ok(S::AfterName),
            (S::Value | S::AfterQuoted, _) if is_space => Ok(S::BeforeSemicolon),
            (S::BeforeName | S::Name, _) if is_token_byte(byte) => Ok(S::Name),
            (S::BeforeValue | S::Value, _) if is_token_byte(byte) => Ok(S::Value),
            (S::Name | S::AfterName, b'=') => Ok(S::BeforeValue),
            (S::BeforeValue, b'"') => Ok(S::Quoted),
            (S::BeforeSemicolon | S::Name | S::AfterName | S::Value | S::AfterQuoted, b';') => {
                Ok(S::BeforeName)
            }
            (S::Name | S::Value | S::AfterQuoted, b'\r') => Ok(S::SizeLf),
            _ => Err(FramingError::ChunkExtension),
        }
    }

    fn trailer(&mut self, byte: u8) -> Result<ChunkState, FramingError> {
        use ChunkState as S;
        self.count(MAX_TRAILER_BYTES, FramingError::Trailer)?;
        match (self.state, byte) {
            (S::LineStart, b'\r') => Ok(S::EndLf),
            (S::LineStart | S::TrailerName, _) if is_token_byte(byte) => Ok(S::TrailerName),
            (S::TrailerName, b':') => Ok(S::TrailerValue),
            (S::TrailerValue, b'\r') => Ok(S::TrailerLf),
            (S::TrailerValue, _) if is_text(byte) => Ok(S::TrailerValue),
            (S::TrailerLf, b'\n') => Ok(S::LineStart),
            (S::EndLf, b'\n') => Ok(S::End),
            _ => Err(FramingError::Trailer),
        }
    }

    fn count(&mut self, limit: u16, beyond: FramingError) -> Result<(), FramingError> {
        self.used += 1;
        if self.used > limit {
            return Err(beyond);
        }
        Ok(())
    }
}

/// What may stand in values and between quotes.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
