// The list of keywords of PostgreSQL 15 (its pg_get_keywords()), sorted by text.
#pragma once

#include <cstdint>

namespace rustbd::sql {

// clang-format off
enum class Keyword : std::uint16_t {
  kNotKeyword,
  kAbort, kAbsolute, kAccess, kAction, kAdd, kAdmin, kAfter, kAggregate, kAll, kAlso, kAlter, kAlways,
  kAnalyse, kAnalyze, kAnd, kAny, kArray, kAs, kAsc, kAsensitive, kAssertion, kAssignment, kAsymmetric,
  kAt, kAtomic, kAttach, kAttribute, kAuthorization, kBackward, kBefore, kBegin, kBetween, kBigint,
  kBinary, kBit, kBoolean, kBoth, kBreadth, kBy, kCache, kCall, kCalled, kCascade, kCascaded, kCase, kCast,
  kCatalog, kChain, kChar, kCharacter, kCharacteristics, kCheck, kCheckpoint, kClass, kClose, kCluster,
  kCoalesce, kCollate, kCollation, kColumn, kColumns, kComment, kComments, kCommit, kCommitted,
  kCompression, kConcurrently, kConfiguration, kConflict, kConnection, kConstraint, kConstraints, kContent,
  kContinue, kConversion, kCopy, kCost, kCreate, kCross, kCsv, kCube, kCurrent, kCurrentCatalog,
  kCurrentDate, kCurrentRole, kCurrentSchema, kCurrentTime, kCurrentTimestamp, kCurrentUser, kCursor,
  kCycle, kData, kDatabase, kDay, kDeallocate, kDec, kDecimal, kDeclare, kDefault, kDefaults, kDeferrable,
  kDeferred, kDefiner, kDelete, kDelimiter, kDelimiters, kDepends, kDepth, kDesc, kDetach, kDictionary,
  kDisable, kDiscard, kDistinct, kDo, kDocument, kDomain, kDouble, kDrop, kEach, kElse, kEnable, kEncoding,
  kEncrypted, kEnd, kEnum, kEscape, kEvent, kExcept, kExclude, kExcluding, kExclusive, kExecute, kExists,
  kExplain, kExpression, kExtension, kExternal, kExtract, kFalse, kFamily, kFetch, kFilter, kFinalize,
  kFirst, kFloat, kFollowing, kFor, kForce, kForeign, kForward, kFreeze, kFrom, kFull, kFunction,
  kFunctions, kGenerated, kGlobal, kGrant, kGranted, kGreatest, kGroup, kGrouping, kGroups, kHandler,
  kHaving, kHeader, kHold, kHour, kIdentity, kIf, kIlike, kImmediate, kImmutable, kImplicit, kImport, kIn,
  kInclude, kIncluding, kIncrement, kIndex, kIndexes, kInherit, kInherits, kInitially, kInline, kInner,
  kInout, kInput, kInsensitive, kInsert, kInstead, kInt, kInteger, kIntersect, kInterval, kInto, kInvoker,
  kIs, kIsnull, kIsolation, kJoin, kKey, kLabel, kLanguage, kLarge, kLast, kLateral, kLeading, kLeakproof,
  kLeast, kLeft, kLevel, kLike, kLimit, kListen, kLoad, kLocal, kLocaltime, kLocaltimestamp, kLocation,
  kLock, kLocked, kLogged, kMapping, kMatch, kMatched, kMaterialized, kMaxvalue, kMerge, kMethod, kMinute,
  kMinvalue, kMode, kMonth, kMove, kName, kNames, kNational, kNatural, kNchar, kNew, kNext, kNfc, kNfd,
  kNfkc, kNfkd, kNo, kNone, kNormalize, kNormalized, kNot, kNothing, kNotify, kNotnull, kNowait, kNull,
  kNullif, kNulls, kNumeric, kObject, kOf, kOff, kOffset, kOids, kOld, kOn, kOnly, kOperator, kOption,
  kOptions, kOr, kOrder, kOrdinality, kOthers, kOut, kOuter, kOver, kOverlaps, kOverlay, kOverriding,
  kOwned, kOwner, kParallel, kParameter, kParser, kPartial, kPartition, kPassing, kPassword, kPlacing,
  kPlans, kPolicy, kPosition, kPreceding, kPrecision, kPrepare, kPrepared, kPreserve, kPrimary, kPrior,
  kPrivileges, kProcedural, kProcedure, kProcedures, kProgram, kPublication, kQuote, kRange, kRead, kReal,
  kReassign, kRecheck, kRecursive, kRef, kReferences, kReferencing, kRefresh, kReindex, kRelative,
  kRelease, kRename, kRepeatable, kReplace, kReplica, kReset, kRestart, kRestrict, kReturn, kReturning,
  kReturns, kRevoke, kRight, kRole, kRollback, kRollup, kRoutine, kRoutines, kRow, kRows, kRule,
  kSavepoint, kSchema, kSchemas, kScroll, kSearch, kSecond, kSecurity, kSelect, kSequence, kSequences,
  kSerializable, kServer, kSession, kSessionUser, kSet, kSetof, kSets, kShare, kShow, kSimilar, kSimple,
  kSkip, kSmallint, kSnapshot, kSome, kSql, kStable, kStandalone, kStart, kStatement, kStatistics, kStdin,
  kStdout, kStorage, kStored, kStrict, kStrip, kSubscription, kSubstring, kSupport, kSymmetric, kSysid,
  kSystem, kTable, kTables, kTablesample, kTablespace, kTemp, kTemplate, kTemporary, kText, kThen, kTies,
  kTime, kTimestamp, kTo, kTrailing, kTransaction, kTransform, kTreat, kTrigger, kTrim, kTrue, kTruncate,
  kTrusted, kType, kTypes, kUescape, kUnbounded, kUncommitted, kUnencrypted, kUnion, kUnique, kUnknown,
  kUnlisten, kUnlogged, kUntil, kUpdate, kUser, kUsing, kVacuum, kValid, kValidate, kValidator, kValue,
  kValues, kVarchar, kVariadic, kVarying, kVerbose, kVersion, kView, kViews, kVolatile, kWhen, kWhere,
  kWhitespace, kWindow, kWith, kWithin, kWithout, kWork, kWrapper, kWrite, kXml, kXmlattributes,
  kXmlconcat, kXmlelement, kXmlexists, kXmlforest, kXmlnamespaces, kXmlparse, kXmlpi, kXmlroot,
  kXmlserialize, kXmltable, kYear, kYes, kZone,
};
// clang-format on
inline constexpr std::uint16_t kKeywordCount = 460;  // without kNotKeyword

}  // namespace rustbd::sql
